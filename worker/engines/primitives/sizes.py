"""How many things the compiled loops do at once."""

#: Numbers of a vector that LLVM is given; the processor's own vectors may be shorter.
SIMD_WIDTH = 8
#: Steps whose delayed input is summed or gathered at once, each in its own element of a vector.
TIME_BLOCK = SIMD_WIDTH
#: Partial sums of NumPy's pairwise summation.
PAIRWISE_LANES = 8
