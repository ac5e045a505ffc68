//! lakehook.
fn main() {}
