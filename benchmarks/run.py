"""Every benchmark, one after the other: `make bench`. Each also runs alone, as its page says."""

import subprocess
import sys

NAMES = (
    "tv_speed",
    "memory",
    "gauss_newton",
    "busy",
    "noise_level",
    "solver_choice",
    "color_deblurring",
    "tv_denoising",
    "tv_protocols",
    "compare_deconvolution",
    "kernel_families",
    "semi_blind",
    "analytic_deep_prior_1d",
    "analytic_deep_prior_2d",
    "learned_speed",
    "learned_denoising",
    "learned_inverse",
    "learned_ablation",
)


def main() -> int:
    failed = [
        n for n in NAMES if subprocess.run([sys.executable, "-m", f"benchmarks.{n}"]).returncode
    ]
    print("failed: " + ", ".join(failed) if failed else "all benchmarks ran")
    return len(failed)


if __name__ == "__main__":
    sys.exit(main())
