//! Empty: cargo wants a library target for the package to be a dependency.
#![no_std]
