"""Sizes that the compiled loops, and what prepares their arrays, agree on."""

#: Numbers of a vector that LLVM is given; the processor's own vectors may be shorter.
SIMD_WIDTH = 8
#: Steps whose delayed input is summed or gathered at once, each in its own element of a vector.
TIME_BLOCK = SIMD_WIDTH
#: Partial sums of NumPy's pairwise summation.
PAIRWISE_LANES = 8
#: Bytes of a number.
FLOAT64_BYTES, FLOAT32_BYTES = 8, 4
#: 32-bit words of the state of MT19937; all are made at once.
MT19937_WORDS = 624
#: Pairs of normals that are tried with the words of a state: four words each.
NORMAL_PAIRS = MT19937_WORDS // 4
