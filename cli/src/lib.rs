//! The `norvalt` command: migrate, seed and operate the backend.

pub mod demo;
