//! `signgate check`, as a process of its own.
