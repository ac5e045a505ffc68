//! Looks for one event in a lake: rows with its id, with the id of its provider, or received with one request.
//!
//! Objects with filters on ids are asked first, and cost a few reads each. What has no filters is read whole, the newest
//! objects first, up to a bound; where the id files of a log say that an object cannot have the row, it is passed over. What cannot be read is named in the result, and rules
//! nothing out.

mod known;
mod search;
mod sought;

pub use known::{KnownIds, UnreadIdFile, log_of_ids};
pub use search::{FoundRow, Search, SearchLimits, UnreadObject, UnreadPart, search};
pub use sought::Sought;
