//! The tools of the chaos tests: traffic, the loader and its ledger, an open loop, and the auditor.

pub mod auditor;
pub mod disk_image;
pub mod expected_rows;
pub mod ledger;
pub mod loader;
pub mod open_loop;
pub mod traffic;
