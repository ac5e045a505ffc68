//! The composition root: reads the settings of each part from the configuration, builds the parts, and
//! connects them to a whole service, or to the part of it that a command needs.

pub mod errors;
pub mod directories;
pub mod settings;
mod shapes;
pub mod catalogue;
pub mod tables;
pub mod lakes;
pub mod process;
pub mod known_lake;
mod insistence;
mod fenced;
mod takeover;
pub mod home;
pub mod inspection;
pub mod moving;
mod pipeline;
pub mod stopping;
pub mod events;
pub mod feeds;
mod figures;
mod listen;
mod member;
mod for_people;
mod secrets;
mod replays;
mod space;
mod running;
pub mod service;

pub use errors::ServeError;
pub use for_people::shown_settings;
pub use lakes::lake_of;
pub use member::{ClusterFinding, cluster_of, probe_cluster};
pub use process::Process;
pub use service::Service;
pub use settings::{LogRole, hook_judge, log_settings, receive_settings, tls_files};
pub use stopping::{Patience, Stopped};
