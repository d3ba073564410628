// Fuzz seeds are a module of their own, without packages, so that they are not downloaded with the library.
module github.com/workerchannel/workerchannel/internal/modeltest/testdata

go 1.26
