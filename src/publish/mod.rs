//! One tag: what must hold before anything is built, and the way of an image to its registries.
//! Knows plans; never flags, and never Docker.

pub mod preflight;
pub mod tags;
pub mod upload;
