//! Flags for bpf-linker, which generates the code.

fn main() {
    // Headers lie where the wire put them. Without this, every field of them is loaded byte by
    // byte; the kernel allows unaligned loads from packets wherever the hardware does.
    println!("cargo:rustc-link-arg-bins=--cpu-features=+allows-misaligned-mem-access");
    println!("cargo:rerun-if-changed=build.rs");
}
