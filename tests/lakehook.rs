//! Integration tests.

mod support;
mod support_checks;
