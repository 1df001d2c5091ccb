//! Links libwbxml where its development files are installed; without them it is not measured.
use std::process::Command;

fn main() {
    println!("cargo::rustc-check-cfg=cfg(libwbxml)");
    println!("cargo::rerun-if-changed=build.rs");
    let found = Command::new("pkg-config").args(["--exists", "libwbxml2"]).status().is_ok_and(|status| status.success());
    if found {
        println!("cargo::rustc-cfg=libwbxml");
        println!("cargo::rustc-link-lib=wbxml2");
    }
}
