//! Compiles the contracts without a system compiler.

use std::{env, error::Error, fs, path::PathBuf};

#[expect(
    clippy::disallowed_methods,
    reason = "build scripts are told by the environment"
)]
fn main() -> Result<(), Box<dyn Error>> {
    println!("cargo:rerun-if-changed=binnacle");
    let mut compiler = protox::Compiler::new(["."])?;
    compiler
        .include_imports(true)
        .include_source_info(true)
        .open_files([
            "binnacle/common/v1/operation.proto",
            "binnacle/director/v1/director.proto",
            "binnacle/executor/v1/executor.proto",
            "binnacle/scheduler/v1/scheduler.proto",
        ])?;
    // Written as the compiler has it: prost would drop custom options.
    let set = PathBuf::from(env::var("OUT_DIR")?).join("binnacle.bin");
    fs::write(set, compiler.encode_file_descriptor_set())?;
    tonic_prost_build::configure()
        .codec_path("binnacle_boot::grpc::Codec")
        .compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
