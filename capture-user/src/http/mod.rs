//! The HTTP servers: metrics, health, and what is known of conversations over TCP; changes of
//! filters through a Unix socket only.
//!
//! [`serve`] and [`serve_control`] accept connections and bound what a client can hold on to; [`routes`] and [`filters`] answer.

mod diagnosis;
mod filters;
mod flows;
mod routes;
mod server;

pub use routes::State;
pub use server::{serve, serve_control};
