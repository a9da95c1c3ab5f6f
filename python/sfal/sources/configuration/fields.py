"""Fields of SAEs' configurations, and arguments of SAELens' language models.

They are those that SAELens wrote in any version from 2 to 6, into an SAE's
``cfg.json`` or a run's, and those of the trainers whose SAEs are converted to it
(SAEBench, dictionary_learning, sparsify). A field that is in none of these lists
is named to the user, since it might change which features fire.
"""

_READ = """
    activation_fn activation_fn_kwargs activation_fn_str apply_b_dec_to_input architecture
    context_size d_in d_out d_sae end_pos_offset exclude_special_tokens hf_hook_name hook_head_index
    hook_layer hook_name hook_names k model_class_name model_from_pretrained_kwargs model_name
    normalize_activations prepend_bos rescale_acts_by_decoder_norm reshape_activations seqpos_slice
    start_pos_offset
"""
"""Fields that SFAL or SAELens applies, or that SFAL notes."""

_NOT_OF_THE_GATE = """
    act_store_device activation_dim activation_normalization_factor activation_save_path
    activations_mixing_fraction adam_beta1 adam_beta2 add_special_tokens anneal_end anneal_start
    author autocast autocast_lm aux_loss_coefficient auxk_alpha b_dec_init_method bandwidth
    base_model batch_size batches_in_buffer begin_batch_token begin_sequence_token
    bottleneck_factor buffer buffer_size_gb cached_activations_path checkpoint_path
    coefficient_warm_up_steps column_name compile_llm compile_sae created_at creator d_submodule
    dashboards_url data_args data_dir data_files data_preprocessing_num_proc dataset_name
    dataset_num_rows dataset_path dataset_process_max_rows dataset_trust_remote_code date
    dead_feature_estimation_method dead_feature_steps dead_feature_threshold dead_feature_window
    decay_start decay_steps decoder_heuristic_init decoder_heuristic_init_norm decoder_init_norm
    decoder_orthogonal_init description device dict_class dict_size disable_concat_sequences
    distribute_modules dtype eval_batch_size_prompts eval_config eval_every_n_wandb_logs
    evals_config exclude_bos_between_sequences expansion_factor expected_l0 feature_probability
    feature_sampling_window final_hook_layer finetune finetuning_method
    finetuning_scaling_factor finetuning_tokens fisher_lambda_term from_pretrained_path
    ghost_grad_weight grad_acc_steps group_fractions group_weights hf_dataset_path
    hf_hook_name_out hf_is_private_repo hf_num_shards hf_repo_id hf_revision hf_token hook_eval
    hook_head_index_out hook_head_indices hook_layer_out hook_layers hook_name_out
    hook_point_eval hookpoints include_final_checkpoint init_encoder_as_decoder_transpose
    init_seeds initial_sparsity_penalty io is_dataset_tokenized is_published jumprelu_bandwidth
    jumprelu_init_threshold jumprelu_sparsity_loss_mode jumprelu_ste_to_input
    jumprelu_tanh_scale k_anneal_steps kval_topk l0 l0_coefficient l0_lambda l0_warm_up_steps
    l1_coefficient l1_penalty l1_warm_up_steps lambda_warm_up_steps layer_stride library_name
    license links llm_compilation_mode llm_device lm_name load_in_8bit
    log_activations_store_to_wandb log_optimizer_state_to_wandb log_to_wandb
    log_weights_to_wandb logger loss_fn lp_norm lr lr_decay_steps lr_end lr_scheduler
    lr_scheduler_name lr_scheduler_state lr_warm_up_steps lr_warmup_steps matryoshka_widths
    max_examples max_iterations micro_acc_steps model_batch_size model_kwargs
    model_training_steps mse_loss_normalization multi_topk n_anticorrelated_pairs n_attn_layers
    n_batches_for_norm_estimate n_batches_in_buffer n_checkpoints n_correlated_pairs n_ctxs
    n_eval_batches n_features n_heads n_hidden n_restart_cycles n_shuffles_final
    n_shuffles_in_entire_dir n_shuffles_with_last_section n_sparsity_updates neuronpedia_id
    new_cached_activations_hub_repo new_cached_activations_path noise noise_factor noise_scale
    normalize_decoder normalize_sae_decoder num_dead_features num_latents num_proc optimizer
    optimizer_name original_column_name original_data_files original_dataset
    original_dataset_name original_split out_batch_size output_path p_end p_start
    pre_act_loss_coefficient prefetch_llm_batches pretokenize_batch_size publication
    refresh_batch_size remove_bos resample_steps residual_threshold resume
    resume_from_checkpoint rows_in_buffer run_name sae sae_compilation_mode sae_diff_type
    sae_lens_branch sae_lens_training_version sae_lens_version sae_link sae_set save_best
    save_checkpoint_frequency save_dir save_every save_final_checkpoint save_path
    scale_sparsity_penalty_by_decoder_norm scheduler seed sequence_separator_token shuffle
    shuffle_every_n_buffers shuffle_seed shuffled skip_connection sparse_intermediate sparsity
    sparsity_coefficient sparsity_function sparsity_path sparsity_penalty
    sparsity_penalty_decoder_norm_lp_norm sparsity_queue_length sparsity_warmup_steps split
    steps stop_on_duplicate_support store_batch_size store_batch_size_prompts
    store_batch_size_tokens streaming submodule_name tags target_l0 text_column threshold_beta
    threshold_start_step tied_weights tokenizer_name tokens_per_buffer top_k_aux
    topk_threshold_lr total_training_samples total_training_steps total_training_tokens
    train_batch_size train_batch_size_samples train_batch_size_tokens trainer trainer_class
    training_architecture training_architecture_details training_tokens unique_id url
    use_cached_activations use_chat_formatting use_fisher use_ghost_grads
    use_matryoshka_aux_loss use_sparse_activations uses_scaling_factor variant verbose
    wandb_entity wandb_id wandb_log_frequency wandb_project warm_up_steps warmup warmup_steps
    weight_decay
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
"""Arguments of the language model that :class:`sfal.sources.configuration.training.Training` reads, or that
change no activation."""
