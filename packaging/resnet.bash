# bash completion for resnet; printed by: resnet completion bash
_resnet()
{
  local word="${COMP_WORDS[COMP_CWORD]}" before="${COMP_WORDS[COMP_CWORD-1]}" verb="${COMP_WORDS[1]}"
  if [ "$COMP_CWORD" -eq 1 ]; then
    COMPREPLY=($(compgen -W "arch info train watch eval predict embed explain run dump convert bench data help completion" -- "$word"))
    return
  fi
  if [ "$verb" = data ] && [ "$COMP_CWORD" -eq 2 ]; then
    COMPREPLY=($(compgen -W "check stats split" -- "$word"))
    return
  fi
  [ "$verb" = data ] && verb="data ${COMP_WORDS[2]}"
  case "$verb $before" in
    "arch --block") COMPREPLY=($(compgen -W "basic bottleneck" -- "$word")); return ;;
    "arch --preact") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "arch --shortcut") COMPREPLY=($(compgen -W "A A2 B C none" -- "$word")); return ;;
    "arch --shortcut-pool") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "arch --stride-at") COMPREPLY=($(compgen -W "3x3 1x1" -- "$word")); return ;;
    "arch --stem") COMPREPLY=($(compgen -W "3x3 7x7 deep tiered" -- "$word")); return ;;
    "arch --stem-pool") COMPREPLY=($(compgen -W "same end none" -- "$word")); return ;;
    "arch --embedding2") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "data check --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "data stats --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "data split --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "train --block") COMPREPLY=($(compgen -W "basic bottleneck" -- "$word")); return ;;
    "train --preact") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "train --shortcut") COMPREPLY=($(compgen -W "A A2 B C none" -- "$word")); return ;;
    "train --shortcut-pool") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "train --stride-at") COMPREPLY=($(compgen -W "3x3 1x1" -- "$word")); return ;;
    "train --stem") COMPREPLY=($(compgen -W "3x3 7x7 deep tiered" -- "$word")); return ;;
    "train --stem-pool") COMPREPLY=($(compgen -W "same end none" -- "$word")); return ;;
    "train --embedding2") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "train --init-weights") COMPREPLY=($(compgen -W "pytorch he" -- "$word")); return ;;
    "train --balance") COMPREPLY=($(compgen -W "none sampling weights" -- "$word")); return ;;
    "train --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "train --convention") COMPREPLY=($(compgen -W "kaldi librosa torchaudio spectrogram" -- "$word")); return ;;
    "train --fft-window") COMPREPLY=($(compgen -W "hamming hann povey rectangular" -- "$word")); return ;;
    "train --scale") COMPREPLY=($(compgen -W "ln db power magnitude" -- "$word")); return ;;
    "train --normalise") COMPREPLY=($(compgen -W "none mean mean-variance" -- "$word")); return ;;
    "train --preprocessing") COMPREPLY=($(compgen -W "imagenet imagenet-v2 timm timm-95 cifar caffe none" -- "$word")); return ;;
    "train --filter") COMPREPLY=($(compgen -W "bilinear bicubic lanczos box" -- "$word")); return ;;
    "train --order") COMPREPLY=($(compgen -W "rgb bgr" -- "$word")); return ;;
    "train --recipe") COMPREPLY=($(compgen -W "he-cifar he-imagenet torchvision" -- "$word")); return ;;
    "train --optimiser") COMPREPLY=($(compgen -W "sgd adamw" -- "$word")); return ;;
    "train --schedule") COMPREPLY=($(compgen -W "cosine step constant" -- "$word")); return ;;
    "eval --part") COMPREPLY=($(compgen -W "train validation test all" -- "$word")); return ;;
    "eval --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "predict --format") COMPREPLY=($(compgen -W "table jsonl csv audacity raven" -- "$word")); return ;;
    "predict --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "embed --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "explain --method") COMPREPLY=($(compgen -W "grad-cam grad-cam++ occlusion" -- "$word")); return ;;
    "explain --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "dump --raw") COMPREPLY=($(compgen -W "s16le s24le s32le f32le u8 mulaw alaw gsm" -- "$word")); return ;;
    "convert --names") COMPREPLY=($(compgen -W "ours torchvision timm huggingface wespeaker cifar" -- "$word")); return ;;
    "convert --preprocessing") COMPREPLY=($(compgen -W "imagenet imagenet-v2 timm timm-95 cifar caffe wespeaker none" -- "$word")); return ;;
    "convert --stride-at") COMPREPLY=($(compgen -W "3x3 1x1" -- "$word")); return ;;
    "convert --shortcut") COMPREPLY=($(compgen -W "A A2 none" -- "$word")); return ;;
    "convert --stem-pool") COMPREPLY=($(compgen -W "same end none" -- "$word")); return ;;
    "bench --block") COMPREPLY=($(compgen -W "basic bottleneck" -- "$word")); return ;;
    "bench --preact") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "bench --shortcut") COMPREPLY=($(compgen -W "A A2 B C none" -- "$word")); return ;;
    "bench --shortcut-pool") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
    "bench --stride-at") COMPREPLY=($(compgen -W "3x3 1x1" -- "$word")); return ;;
    "bench --stem") COMPREPLY=($(compgen -W "3x3 7x7 deep tiered" -- "$word")); return ;;
    "bench --stem-pool") COMPREPLY=($(compgen -W "same end none" -- "$word")); return ;;
    "bench --embedding2") COMPREPLY=($(compgen -W "yes no" -- "$word")); return ;;
  esac
  case "$before" in
    --cpu) COMPREPLY=($(compgen -W "c fma avx2 avx512" -- "$word")); return ;;
  esac
  if [[ "$word" == -* ]]; then
    case "$verb" in
      "arch") COMPREPLY=($(compgen -W " --input --block --blocks --preact --width --stem-width --groups --group-width --se --shortcut --shortcut-pool --stride-at --pool --pool-eps --stem --stem-pool --embedding --embedding2 --bn-eps --in-channels --classes --threads --cpu --json --help" -- "$word")); return ;;
      "info") COMPREPLY=($(compgen -W " --threads --cpu --json --help" -- "$word")); return ;;
      "data check") COMPREPLY=($(compgen -W " --raw --rate --channels --channel --min-seconds --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "data stats") COMPREPLY=($(compgen -W " --raw --rate --channels --channel --min-seconds --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "data split") COMPREPLY=($(compgen -W " --raw --rate --channels --channel --out --split-seed --train --validation --test --threads --cpu --json --help" -- "$word")); return ;;
      "train") COMPREPLY=($(compgen -W " --out --resume --resume-arithmetic --dry-run --seeds --watch --listen --compare --config --arch --block --blocks --preact --width --stem-width --groups --group-width --se --shortcut --shortcut-pool --stride-at --pool --pool-eps --stem --stem-pool --embedding --embedding2 --bn-eps --in-channels --classes --init --init-weights --zero-last --freeze --split --split-seed --split-train --split-validation --split-test --no-validation --no-test --skip-bad --min-seconds --balance --class-weights --raw --raw-rate --raw-channels --rate --seconds --channel --convention --bins --window-ms --hop-ms --fft-window --low-hz --high-hz --preemphasis --amplitude --scale --normalise --preprocessing --resize --crop --filter --mean --std --order --orient --max-pixels --no-augment --resized-crop --pad --flip --brightness --contrast --saturation --hue --rand-augment --rand-magnitude --trivial-augment --erase --cutmix --no-crop --gain-db --shift --speed --noise --noise-snr-low --noise-snr-high --noise-folder --mask-time --mask-frequency --mask-count --mixup --recipe --epochs --batch --ghost-batch --lr --optimiser --momentum --no-nesterov --beta1 --beta2 --epsilon --weight-decay --decay-all --schedule --lr-end --step-epochs --milestones --step-factor --warmup-epochs --warmup-steps --label-smoothing --drop-path --clip --ema --bn-recompute --seed --patience --checkpoint-minutes --cache-mb --recompute-blocks --loader-threads --log-steps --threads --cpu --json --help" -- "$word")); return ;;
      "watch") COMPREPLY=($(compgen -W " --text --listen --threads --cpu --json --help" -- "$word")); return ;;
      "eval") COMPREPLY=($(compgen -W " --part --split --skip-bad --min-seconds --worst --report --calibrate --bn-recompute --cache-mb --raw --rate --channels --crops --scales --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "predict") COMPREPLY=($(compgen -W " --top --min-prob --format --merge-gap --keep-prob --out --report --extract --background --window --hop --raw --rate --channels --channel --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "embed") COMPREPLY=($(compgen -W " --out --l2 --window --hop --raw --rate --channels --channel --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "explain") COMPREPLY=($(compgen -W " --out --npy --method --layer --class --start --window --patch --raw --rate --channels --channel --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "run") COMPREPLY=($(compgen -W " --logits --embedding --batch --threads --cpu --json --help" -- "$word")); return ;;
      "dump") COMPREPLY=($(compgen -W " --stage --out --list --start --window --raw --rate --channels --channel --max-pixels --threads --cpu --json --help" -- "$word")); return ;;
      "convert") COMPREPLY=($(compgen -W " --names --labels --preprocessing --stride-at --shortcut --pool --stem-pool --bn-eps --pool-eps --fold-bn --input --dry-run --threads --cpu --json --help" -- "$word")); return ;;
      "bench") COMPREPLY=($(compgen -W " --input --block --blocks --preact --width --stem-width --groups --group-width --se --shortcut --shortcut-pool --stride-at --pool --pool-eps --stem --stem-pool --embedding --embedding2 --bn-eps --in-channels --classes --batch --train --ghost-batch --recompute-blocks --layers --seconds --threads --cpu --json --help" -- "$word")); return ;;
    esac
  fi
  COMPREPLY=($(compgen -f -- "$word"))
}
complete -o filenames -F _resnet resnet
