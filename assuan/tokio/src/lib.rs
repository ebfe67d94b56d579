//! assuan/tokio
