//! Leads: customers' inquiries.
