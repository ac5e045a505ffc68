//! lakehook: webhooks into a data lake.

pub mod contract;
pub mod quarantine;

pub mod upstream;

pub mod clock;
pub mod ids;
pub mod record;
