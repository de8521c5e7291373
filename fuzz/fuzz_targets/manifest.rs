//! Any bytes as a manifest beside a good one, see [`lb_fuzz::manifest`].
#![cfg_attr(fuzzing, no_main)]

lb_fuzz::fuzz_target!(lb_fuzz::manifest::run);
