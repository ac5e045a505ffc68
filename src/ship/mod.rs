//! Shipping: sealed batches become objects of the lake, and publications make them visible.
//!
//! The log says which batches are sealed and which publications are due ([`Queue`]). Two threads
//! ([`Shipping`]) take them one by one, retry each without limit ([`Shipper`] makes one attempt), and report
//! to the log what is done. Everything can be repeated after a crash or a lost answer: it is put under the
//! key that the log fixed before, and is recognised as ours.

mod assembly;
mod commit;
mod noted;
mod columns;
mod field_ids;
mod publication;
mod lake_check;
mod queue;
mod landings;
mod shipper;

pub use commit::{MayPut, ShipError, Shipment, Shipper};
pub use lake_check::{KnownObjects, LakeCheck, LakeFinding};
pub use landings::Landings;
pub use noted::ColumnsNote;
pub use publication::{Member, Publication, PublicationKind, RunMarker};
pub use queue::{Drained, Queue};
pub use shipper::{Shipping, ShippingContext};
