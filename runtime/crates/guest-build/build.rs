//! The embedded directories may get new files, which no macro sees.

fn main() {
    for directory in ["guest-sdk", "wit"] {
        println!("cargo::rerun-if-changed=../../../{directory}");
    }
}
