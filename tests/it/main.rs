//! The program as a whole: the command line, the house rules, and the mesh with real processes, both databases and
//! a scriptable external system.

#![cfg(test)]

mod support;

mod architecture;
mod asynchronous;
mod bench;
mod cli;
mod compass;
mod costs;
mod looking;
mod nothing_lost;
mod reflection;
mod sequences;
mod storm;
mod visibility;
