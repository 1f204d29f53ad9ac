//! The HTTP server: metrics, health, and what is known of conversations.
//!
//! [`serve`] accepts connections and bounds what a client can hold on to; [`routes`] answers.

mod diagnosis;
mod flows;
mod routes;
mod server;

pub use routes::State;
pub use server::serve;
