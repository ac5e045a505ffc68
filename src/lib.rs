//! lakehook: webhooks into a data lake.

pub mod config;
pub mod contract;
pub mod quarantine;
pub mod wal;
pub mod batch;
pub mod encode;
pub mod lake;
pub mod commit;

pub mod upstream;

pub mod clock;
pub mod files;
pub mod ids;
pub mod record;
