//! Load: senders that repeat a request until it is acknowledged, and remember what was acknowledged.
//!
//! Each connection is a thread that sends one request at a time, as a real sender would, through any
//! number of crashes of the service. A request without an answer is sent again, byte for byte.

mod events;
mod open;
mod report;
mod senders;

pub(crate) use events::{Event, Source, TYPES};
pub(crate) use open::{Offered, OpenPlan, offer};
pub(crate) use report::{Difference, Report, Totals};
pub(crate) use senders::{Load, Plan};
