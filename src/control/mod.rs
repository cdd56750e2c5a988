//! Ring 2. The control socket: server and client.
