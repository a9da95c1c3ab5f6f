"""What SAELens' configurations say about an SAE's inputs, whichever version wrote them."""

import pytest

from sfal.errors import ArtifactError, InvalidInputError
from sfal.sources.configuration.training import Training

ARGUMENTS = "model_from_pretrained_kwargs"


def parse(**config):
    return Training.parse(config, "cfg.json")


def of_model(**arguments):
    return parse(hook_name="blocks.1.attn.hook_z", **{ARGUMENTS: arguments})


def test_a_plain_configuration_says_nothing_unusual():
    told = parse(
        architecture="jumprelu",
        d_in=16,
        d_sae=48,
        metadata={
            "model_name": "gemma-2-2b",
            "hook_name": "blocks.3.hook_resid_post",
            "prepend_bos": True,
            "context_size": 1024,
            "exclude_special_tokens": True,
            "seqpos_slice": [None],
            "hook_head_index": None,
            ARGUMENTS: {"center_unembed": True, "device_map": "auto"},
        },
    )
    assert told == Training(
        model="gemma-2-2b",
        hook="blocks.3.hook_resid_post",
        prepend_bos=True,
        context_size=1024,
    )


def test_the_names_of_the_oldest_versions_are_known():
    told = parse(
        hook_point="blocks.2.hook_resid_pre", hook_point_head_index=None, hook_point_layer=2
    )
    assert told == Training(hook="blocks.2.hook_resid_pre")


def test_metadata_may_stand_beside_the_other_fields_or_apart():
    apart = parse(metadata={"model_name": "gpt2", ARGUMENTS: {"center_writing_weights": True}})
    assert apart == parse(model_name="gpt2", **{ARGUMENTS: {"center_writing_weights": True}})
    assert apart.centred


def test_arguments_of_the_model_that_change_activations_are_taken():
    told = of_model(fold_ln=True, fold_value_biases=True, dtype="torch.bfloat16", revision="step99")
    assert (told.folded_norms, told.folded_value_biases) == (True, True)
    assert (told.dtype, told.revision) == ("bfloat16", "step99")
    assert told.unknown == ()


def test_a_checkpoint_of_pythia_is_the_branch_of_its_step():
    told = parse(model_name="pythia-70m", **{ARGUMENTS: {"checkpoint_value": 143000}})
    assert told.revision == "step143000"


@pytest.mark.parametrize("arguments", [{"checkpoint_index": 3}, {"checkpoint_value": 5}])
def test_a_checkpoint_that_cannot_be_found_is_refused(arguments):
    with pytest.raises(InvalidInputError, match="checkpoint"):
        parse(model_name="gpt2", **{ARGUMENTS: arguments})


@pytest.mark.parametrize(
    ("positions", "told"),
    [([None], None), ([0, None], None), ([5, None], (5, None)), ([1, 9, 2], (1, 9, 2)), ([], None)],
)
def test_positions_are_told_if_some_were_left_out(positions, told):
    assert parse(seqpos_slice=positions).positions == told


def test_token_ids_that_were_left_out_are_told():
    assert parse(exclude_special_tokens=[1, 2, 7]).excluded_ids == (1, 2, 7)
    assert parse(exclude_special_tokens=True).excluded_ids == ()


def test_a_single_head_is_known_at_the_heads_outputs_only():
    assert parse(hook_name="blocks.1.attn.hook_z", hook_head_index=3).head == 3
    with pytest.raises(InvalidInputError, match=r"reads head 3 at blocks\.1\.hook_resid_post"):
        parse(hook_name="blocks.1.hook_resid_post", hook_head_index=3)


def test_heads_in_another_basis_are_refused():
    with pytest.raises(InvalidInputError, match="refactor_factored_attn_matrices"):
        of_model(refactor_factored_attn_matrices=True)
    elsewhere = parse(
        hook_name="blocks.1.hook_resid_post",
        **{ARGUMENTS: {"refactor_factored_attn_matrices": True}},
    )
    assert elsewhere.refactored_attention  # it changes nothing there


def test_fields_that_nobody_knows_are_named():
    told = parse(d_in=3, threshold_offset=0.5, **{ARGUMENTS: {"rotate_stream": 1, "n_devices": 2}})
    assert told.unknown == ("threshold_offset", f"{ARGUMENTS}.rotate_stream")


@pytest.mark.parametrize(
    "config",
    [
        {"model_name": 3},
        {"hook_name": ["x", "y"]},
        {"context_size": "many"},
        {"context_size": -1},
        {"context_size": True},
        {"prepend_bos": "yes"},
        {"hook_head_index": 1.5},
        {"seqpos_slice": "all"},
        {"seqpos_slice": [1, 2, 3, 4]},
        {ARGUMENTS: [1]},
        {ARGUMENTS: {"center_writing_weights": 1}},
        {ARGUMENTS: {"revision": {}}},
    ],
)
def test_a_field_of_the_wrong_type_is_named(config):
    name = next(iter(config))
    with pytest.raises(ArtifactError, match=rf"cfg.json: {name}"):
        parse(**config)


def test_a_runs_configuration_holds_the_saes_inside():
    told = parse(
        hook_name="blocks.1.hook_resid_post",
        model_name="gpt2",
        lr=1e-4,
        logger={"wandb_project": "x"},
        sae={"d_in": 3, "k": 4, "metadata": {"context_size": 64}},
    )
    assert told == Training(model="gpt2", hook="blocks.1.hook_resid_post", context_size=64)


def test_fields_of_training_and_publication_give_no_note():
    """Each of them is written by SAELens 2 to 6 or by a trainer whose SAEs are converted to it."""
    fields = (
        "noise noise_factor dataset_name begin_batch_token begin_sequence_token hf_repo_id "
        "split shuffle sparsity_coefficient use_fisher variant warm_up_steps trainer_class "
        "group_fractions hookpoints micro_acc_steps loss_fn hook_layers"
    )
    assert parse(**dict.fromkeys(fields.split(), 1)) == Training()


def test_a_single_hook_among_several_names_is_the_hook():
    assert parse(hook_names=["blocks.2.hook_mlp_out"]).hook == "blocks.2.hook_mlp_out"
    assert parse(hook_names=["blocks.2.hook_mlp_out", "blocks.3.hook_mlp_out"]).hook is None


@pytest.mark.parametrize("hook", ["hook_resid_post", "blocks.{layer}.hook_resid_post"])
def test_a_hook_without_its_layer_is_completed(hook):
    assert parse(hook_name=hook, hook_layer=5) == Training(hook="blocks.5.hook_resid_post")
    assert parse(hook_point=hook, hook_point_layer=5) == Training(hook="blocks.5.hook_resid_post")


def test_another_layer_than_the_hooks_is_told():
    agree = parse(hook_name="blocks.3.hook_resid_post", hook_layer=3)
    assert agree.other_layer is None
    assert parse(hook_name="blocks.3.hook_resid_post", hook_layer=5).other_layer == 5
    assert parse(hook_name="model.layers.3", hook_layer=5).other_layer == 5
    assert parse(hook_name="hook_embed", hook_layer=0).other_layer is None


def test_offsets_of_the_oldest_versions_are_positions():
    assert parse(start_pos_offset=2, end_pos_offset=0).positions == (2, None)
    assert parse(start_pos_offset=0, end_pos_offset=3).positions == (None, -3)
    assert parse(start_pos_offset=0, end_pos_offset=0).positions is None
