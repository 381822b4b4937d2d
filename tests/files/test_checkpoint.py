import pytest
import torch

from undegrade.files.checkpoint import (
    checkpoint_path,
    keep_newest,
    load_checkpoint,
    newest_checkpoint,
    save_checkpoint,
)


def test_what_is_written_is_read(tmp_path):
    path = checkpoint_path(tmp_path, 7)
    save_checkpoint(path, {"iteration": 7, "weights": torch.arange(3.0)})
    content = load_checkpoint(path)
    assert content["iteration"] == 7
    assert torch.equal(content["weights"], torch.arange(3.0))
    assert [p.name for p in tmp_path.iterdir()] == ["checkpoint-000000007.pt"]


@pytest.mark.parametrize("harm", ["truncated", "altered", "foreign", "empty"])
def test_a_damaged_checkpoint_is_passed_over(tmp_path, harm):
    for i in (1, 2):
        save_checkpoint(checkpoint_path(tmp_path, i), {"iteration": i})
    path = checkpoint_path(tmp_path, 2)
    data = bytearray(path.read_bytes())
    data[-20] ^= 1
    damaged = {
        "truncated": path.read_bytes()[:-5],
        "altered": bytes(data),
        "foreign": b"GIF89a" * 50,
        "empty": b"",
    }
    path.write_bytes(damaged[harm])
    content, complaints = newest_checkpoint(tmp_path)
    assert content == {"iteration": 1}
    assert len(complaints) == 1
    assert str(path) in complaints[0]


def test_without_checkpoints_there_is_none(tmp_path):
    assert newest_checkpoint(tmp_path) == (None, ())


def test_only_the_newest_are_kept(tmp_path):
    for i in range(4):
        save_checkpoint(checkpoint_path(tmp_path, i), {"iteration": i})
    keep_newest(tmp_path, 2)
    names = sorted(p.name for p in tmp_path.iterdir())
    assert names == ["checkpoint-000000002.pt", "checkpoint-000000003.pt"]


def test_a_checkpoint_with_code_in_it_is_not_run(tmp_path):
    class Evil:
        def __reduce__(self):
            return (print, ("ran",))

    path = checkpoint_path(tmp_path, 1)
    save_checkpoint(path, {"evil": Evil()})
    with pytest.raises(Exception, match=r"weights_only|Unsupported|Weights only"):
        load_checkpoint(path)
