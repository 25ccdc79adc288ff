//! The program as a whole: the command line, the house rules, and the mesh with real processes.

#![cfg(test)]

mod architecture;
mod bench;
mod cli;
mod support;
