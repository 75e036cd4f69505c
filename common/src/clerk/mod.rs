//! Clerk
