//! Failures in words (filled in with the sender).
