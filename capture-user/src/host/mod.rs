//! What the daemon must know of the machine before it touches it.
//!
//! [`interface`] reads what an interface is and how the host uses it, and watches it come and go;
//! [`requirements`] tells whether this process on this kernel can do the job at all.

pub mod interface;
pub mod requirements;

#[cfg(test)]
mod namespace;
