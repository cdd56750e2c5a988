//! Ring 2. Sockets: HTTP and WebSocket clients with TLS, names resolved ahead, and a small server for both.
//!
//! Always holds: every wait has a deadline; every answer has a largest size; plain text goes to loopback addresses only;
//! an HTTP outcome tells whether a byte may have left.
//! Never does: retry, follow a redirect, use a proxy of the environment, know an order from a price.

pub mod address;
pub mod deadline;
pub mod http;
pub mod resolver;
pub mod roots;
pub mod server;
mod socket;
pub mod websocket;
