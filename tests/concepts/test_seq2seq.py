import pytest
import torch

from tutelage.concepts import Seq2SeqSplitter
from tutelage.errors import UserError

SENTENCE = "the limbs are delicate and the tail is long and thin"
PHRASES = ["limbs are delicate", "tail is long and thin"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A tiny T5 that knows one sentence by heart, in the files a fine-tuned one would have."""
    from tokenizers import Tokenizer, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast, T5Config, T5ForConditionalGeneration

    torch.manual_seed(0)
    source = f"extract concepts from sentence: {SENTENCE}"
    target = " ; ".join(PHRASES)
    split = pre_tokenizers.WhitespaceSplit()
    words = dict.fromkeys(f"{source} {target}".split())
    vocabulary = {word: n for n, word in enumerate(["<pad>", "</s>", "<unk>", *words])}
    core = Tokenizer(models.WordLevel(vocabulary, unk_token="<unk>"))
    core.pre_tokenizer = split
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_object=core, pad_token="<pad>", eos_token="</s>", unk_token="<unk>"
    )
    network = T5ForConditionalGeneration(
        T5Config(
            vocab_size=len(vocabulary),
            d_model=32,
            d_kv=16,
            d_ff=64,
            num_layers=1,
            num_heads=2,
            dropout_rate=0.0,
            decoder_start_token_id=0,
        )
    )
    inputs = tokenizer(source, return_tensors="pt")["input_ids"]
    labels = tokenizer(f"{target} </s>", return_tensors="pt")["input_ids"]
    optimizer = torch.optim.Adam(network.parameters(), lr=0.01)
    for _ in range(60):
        loss = network(input_ids=inputs, labels=labels).loss
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
    assert loss < 0.1
    path = tmp_path_factory.mktemp("t5")
    network.save_pretrained(path)
    tokenizer.save_pretrained(path)
    return path


def test_a_model_on_disk_splits_a_sentence(folder):
    split = Seq2SeqSplitter(folder)
    assert split(SENTENCE) == PHRASES
    assert split(SENTENCE) == split(SENTENCE)


def test_separators_and_prefix_are_arguments(folder):
    assert Seq2SeqSplitter(folder, separators="|")(SENTENCE) == [" ; ".join(PHRASES)]


def test_no_such_model(tmp_path):
    with pytest.raises(UserError, match="found no such model"):
        Seq2SeqSplitter(tmp_path)
