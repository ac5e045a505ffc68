//! `lakehook wal cost`: what a log needs and costs in each place where it can be kept, by a model whose assumptions
//! are printed and can be changed.

pub mod assumptions;
pub mod model;
pub mod table;
pub mod run;
