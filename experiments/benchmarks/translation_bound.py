"""What a step of the translator's training consists of: numbers taken down by hand.

The benchmark measures whole epochs. These are parts of one step, measured apart on a day when other
programs shared the machine, and so in processor time on one core.
"""

from experiments.benchmarks.record import markdown_table

_HEADER = ("part, forward and backward", "operations", "floor", "ours", "PyTorch")
_ROWS = (
    ("encoder: 2 × 8 steps of a GRU", "1.21 G", "8.1 ms", "16.9 ms", "21.0 ms"),
    ("decoder: keys, 9 steps of attention and GRU", "1.72 G", "11.5 ms", "27.6 ms", "37.7 ms"),
    ("readout: maxout of 512 features", "0.91 G", "6.0 ms", "9.8 ms", "11.4 ms"),
    ("output layer of 4,000 words, and its loss", "2.82 G", "18.8 ms", "30.4 ms", "51.7 ms"),
    ("gradients of both embeddings", "", "", "0.5 ms", "1.5 ms"),
    ("clipping and AdamW, 2.1 million parameters", "", "", "10.0 ms", "6.5 ms"),
    ("the whole step", "6.65 G", "44.4 ms", "96.7 ms", "113.4 ms"),
)
_PROSE = """\
## Why not 1.5 times

Half of the batches have 8 source and 9 target positions. The table takes one such batch of 128
apart: 877 of its 1,152 target positions and 575 of its 1,024 source positions hold a word.
Operations are those of the matrix products, counted by hand as 2 for each multiplication and
addition, at the padding too, except in the output layer, where ours leaves it out (PyTorch's
takes 3.54 G; its packed encoder leaves padding out and takes 0.68 G). The floor is that count at
150 G a second, what one core does at most of these shapes in PyTorch (111 to 163; in XLA 96 to
145). Times are the least processor time of 8 runs on one core, on 2026-11-30 while other programs
shared the machine; runs differed by 10 % and more. Each part is a program of its own, with what
it takes to call it, so that PyTorch's parts add up to more than its step."""
_CONCLUSION = """\
The step takes PyTorch 1.17 times our processor time, in eight rounds by turns as well. Over a mix
of 16 batches of all shapes it was 1.07, before the readout was made a little faster. A ratio of
1.5 would leave the step 76 ms. In a profile of it XLA's products take about 66 ms, and everything
else 35 ms: 9 ms in the output layer (exponentials, the bias, the search for the likeliest word,
the sum of gradients), 9 ms in the decoder (tanh, and adding up gradients of keys and values), 5
ms in the encoder, 7 ms in the optimizer, 4 ms in copies. Without any of these 35 ms the ratio
would be 1.7, so more than two thirds of them would have to go. The arithmetic does not forbid
1.5, but programs that XLA compiles did not reach it:

- One product for all gates of the decoder, with the previous tokens' part taken out of the loop:
  28.0 ms for the decoder's steps, where separate products took 26.7.
- The gradients of the decoder's weights as one product after the loop: 27.6 ms. In the loop they
  run nearly as fast as the one product does, and copies make up for the sums that are saved.
- Attention without recomputing the scores in the backward pass: 30.3 ms.
- XLA without its YNNPACK products: 1.21 times the step's processor time. With vectors of 512
  bits: 0.99, less than the noise.
- Products of bfloat16 run up to 5 times as fast in XLA here, and up to 7 times in PyTorch (131 ×
  128 × 4,000: 471 and 356 G a second; 1,310 × 4,000 × 128: 564 and 917). They would help both,
  and the page compares float32.

Not tried are a compiled kernel for the output layer and its loss, longer bodies of the loops, and
an optimizer that passes over the parameters once: XLA takes 10 ms for what PyTorch's fused AdamW
does in 6.5."""

BOUND = (_PROSE, markdown_table(_HEADER, _ROWS), _CONCLUSION)
"""The section of the page, part by part."""
