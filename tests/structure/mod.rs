//! Holds the shape of the sources: which room may use which, and how large things may grow.
//!
//! `rooms` is the table to edit when the shape changes, and holds the test. The rest reads sources: `tokens`
//! cuts text into tokens, `sources` finds files and their modules, `paths` finds what a file uses, `rules` says
//! what breaks a rule. `made_up` proves on small trees that each rule can fail.

mod made_up;
mod paths;
mod rooms;
mod rules;
mod sources;
mod tokens;
