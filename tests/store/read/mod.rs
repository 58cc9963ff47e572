//! Lists, statistics, views and the feed, and the plans by which databases answer them.

mod feed;
mod files_in_feed;
mod found_texts;
mod instances;
mod ledger;
mod listing;
mod media_reports;
mod plans;
pub mod search;
mod statistics;
mod view_plans;
mod views;
pub mod waiting;
