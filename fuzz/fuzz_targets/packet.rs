//! Any bytes as packets through the pipeline, see [`lb_fuzz::packet`].
#![cfg_attr(fuzzing, no_main)]

lb_fuzz::fuzz_target!(lb_fuzz::packet::run);
