//! Pages of Facebook and their leads.

mod connect_page;
mod list_pages;
mod read_lead;
mod reconcile;
