"""Fields of SAELens' configurations, of version 2 to 6, and arguments of its language models.

A field that is in none of these lists is named to the user, since it might
change which features fire.
"""

_READ = """
    activation_fn activation_fn_kwargs activation_fn_str apply_b_dec_to_input architecture
    context_size d_in d_out d_sae exclude_special_tokens hf_hook_name hook_head_index hook_layer
    hook_name hook_point_layer k model_class_name model_from_pretrained_kwargs model_name
    normalize_activations prepend_bos rescale_acts_by_decoder_norm reshape_activations seqpos_slice
"""
"""Fields that SFAL or SAELens applies, or that SFAL notes."""

_NOT_OF_THE_GATE = """
    act_store_device activation_normalization_factor activations_mixing_fraction adam_beta1
    adam_beta2 autocast autocast_lm aux_loss_coefficient b_dec_init_method bottleneck_factor
    cached_activations_path checkpoint_path compile_llm compile_sae dataset_path
    dataset_trust_remote_code dead_feature_estimation_method dead_feature_threshold
    dead_feature_window decoder_heuristic_init decoder_heuristic_init_norm decoder_init_norm
    decoder_orthogonal_init device disable_concat_sequences dtype eval_batch_size_prompts
    eval_every_n_wandb_logs expansion_factor feature_sampling_window finetuning_method
    finetuning_scaling_factor finetuning_tokens from_pretrained_path ghost_grad_weight
    hf_hook_name_out hook_eval hook_head_index_out hook_layer_out hook_name_out
    init_encoder_as_decoder_transpose is_dataset_tokenized jumprelu_bandwidth
    jumprelu_init_threshold jumprelu_sparsity_loss_mode jumprelu_ste_to_input jumprelu_tanh_scale
    kval_topk l0_coefficient l0_lambda l0_warm_up_steps l1_coefficient l1_warm_up_steps
    llm_compilation_mode llm_device log_activations_store_to_wandb log_optimizer_state_to_wandb
    log_to_wandb log_weights_to_wandb logger lp_norm lr lr_decay_steps lr_end lr_scheduler
    lr_scheduler_name lr_warm_up_steps matryoshka_widths max_iterations model_kwargs
    mse_loss_normalization n_attn_layers n_batches_for_norm_estimate n_batches_in_buffer
    n_checkpoints n_eval_batches n_heads n_restart_cycles neuronpedia_id noise_factor
    normalize_sae_decoder output_path pre_act_loss_coefficient prefetch_llm_batches
    residual_threshold resume resume_from_checkpoint run_name sae sae_compilation_mode
    sae_diff_type sae_lens_training_version sae_lens_version save_final_checkpoint
    scale_sparsity_penalty_by_decoder_norm seed sequence_separator_token sparsity_path
    stop_on_duplicate_support store_batch_size store_batch_size_prompts store_batch_size_tokens
    streaming target_l0 tied_weights tokens_per_buffer topk_threshold_lr total_training_steps
    total_training_tokens train_batch_size train_batch_size_tokens training_tokens unique_id
    use_cached_activations use_chat_formatting use_ghost_grads use_matryoshka_aux_loss
    use_sparse_activations verbose wandb_entity wandb_id wandb_log_frequency wandb_project
    dashboards_url is_published links publication created_at
"""
"""Fields of training, logging and publication, and those that only SAELens' encoders use."""

KNOWN_FIELDS = frozenset(_READ.split()) | frozenset(_NOT_OF_THE_GATE.split())
"""Every field of a configuration and of its metadata that SFAL knows."""

KNOWN_ARGUMENTS = frozenset(
    [
        "attn_implementation",
        "cache_dir",
        "center_unembed",
        "center_writing_weights",
        "checkpoint_index",
        "checkpoint_value",
        "default_padding_side",
        "default_prepend_bos",
        "device",
        "device_map",
        "dtype",
        "first_n_layers",
        "fold_ln",
        "fold_value_biases",
        "force_download",
        "hf_model",
        "hf_token",
        "local_files_only",
        "low_cpu_mem_usage",
        "move_to_device",
        "n_ctx",
        "n_devices",
        "refactor_factored_attn_matrices",
        "revision",
        "tokenizer",
        "token",
        "torch_dtype",
        "trust_remote_code",
        "use_auth_token",
        "use_cache",
        "use_safetensors",
        "verbose",
    ]
)
"""Arguments of the language model that :class:`sfal.sources.training.Training` reads, or that
change no activation."""
