%% The library's place, priv/ram_nif.so.
-module(ram_library).

-export([path/0, place/1, place/3]).

-spec path() -> string().
path() -> "priv/ram_nif.so".

%% @doc Copies a file there if its bytes are others.
-spec place(file:filename_all()) -> ok.
place(File) ->
    case {file:read_file(path()), file:read_file(File)} of
        {{ok, Same}, {ok, Same}} -> ok;
        {_, {ok, Bytes}} -> place(Bytes, path(), 8#755);
        {_, {error, Reason}} -> failed(File, Reason)
    end.

%% @doc Under another name first, then renamed: a running VM keeps the file it has mapped, and
%% nobody sees a part of one.
-spec place(iodata(), file:filename_all(), Mode :: integer()) -> ok.
place(Bytes, File, Mode) ->
    Name = lists:concat([".", filename:basename(File), ".", os:getpid()]),
    New = filename:join(filename:dirname(File), Name),
    Steps = [fun() -> filelib:ensure_dir(New) end,
             fun() -> file:write_file(New, Bytes) end,
             fun() -> file:change_mode(New, Mode) end,
             fun() -> file:rename(New, File) end],
    case lists:foldl(fun(Step, ok) -> Step(); (_, Error) -> Error end, ok, Steps) of
        ok ->
            ok;
        {error, Reason} ->
            _ = file:delete(New),
            failed(File, Reason)
    end.

-spec failed(file:filename_all(), term()) -> no_return().
failed(File, Reason) ->
    throw({failed, io_lib:format("~ts: ~ts", [File, file:format_error(Reason)])}).
