//! The HTTP server: metrics and health.
//!
//! [`serve`] accepts connections and bounds what a client can hold on to; [`routes`] answers.

mod routes;
mod server;

pub use routes::State;
pub use server::serve;
