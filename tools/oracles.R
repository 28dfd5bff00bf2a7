# What R's packages make of numbers that pages use as references: `Rscript tools/oracles.R`, from the project's root.
# Debian: r-bioc-limma. Rows: benchmarks/results/oracles/squeeze.csv
suppressMessages(library(limma))

cases <- list(
  scattered = list(s2 = c(1.3, .4, 2.2, 6.1, .9, 3.3, .15, 1.8), df = rep(4, 8)),
  alike     = list(s2 = c(1.0, 1.1, .9, 1.05, .95), df = rep(4, 5)),
  few_seeds = list(s2 = c(.02, 5.0, .7, 1.9, 30.0, .3), df = rep(2, 6)))

rows <- do.call(rbind, lapply(names(cases), function(name) {
  o <- cases[[name]]
  fit <- squeezeVar(o$s2, o$df)
  data.frame(case = name, s2 = o$s2, df = o$df, s0 = fit$var.prior, d0 = fit$df.prior, post = fit$var.post,
             limma = as.character(packageVersion('limma')))
}))
write.csv(rows, 'benchmarks/results/oracles/squeeze.csv', row.names = FALSE, quote = FALSE)
