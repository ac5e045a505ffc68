//! Shipping: sealed batches become objects of the lake, and what depends on them becomes visible.
//!
//! The log says which batches are sealed and which publications are due ([`Queue`]). Two threads
//! ([`Shipping`]) take them one by one and try for ever ([`Shipper`] is one attempt), and tell the log what is
//! done. Everything can be done again after a crash or a lost answer: what the log fixed before is put under
//! the same key, and is recognised as ours.

mod commit;
mod publication;
mod lake_check;
mod queue;
mod shipper;

pub use commit::{ShipError, Shipment, Shipper};
pub use lake_check::{KnownObjects, LakeCheck, LakeFinding};
pub use publication::{Member, Publication, PublicationKind, RunMarker};
pub use queue::{Drained, Queue};
pub use shipper::{Shipping, ShippingContext};
