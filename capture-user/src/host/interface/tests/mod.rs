//! In network namespaces, with real interfaces.

mod facts;
mod watch;
