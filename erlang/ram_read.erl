%% Reads, made and awaited in the calling process; called by ram, and by ram_registry for names.
%% Counterpart of fetch.rs and of the reads in request/.
-module(ram_read).

-export([get/1, get/2, get/3, fetch/1, fetch/2, own/3]).

%% A call less each: about 1 % of a get.
-compile({no_auto_import, [get/1]}).
-compile({inline, [member/0, now_or_later/3]}).

%% As in ram_request, without a call of another module.
-define(KEY, ram_member).

%% As fetch/1, without a tuple around what is there. Most reads are such and end in the first call:
%% little is kept on the stack for the others, and what they may raise is made for them alone.
-spec get(term()) -> term() | undefined.
get(Key) ->
    case now_or_later(default, Key, undefined) of
        'ram fetch' -> get_later(Key, undefined, {get, [Key]});
        Value -> Value
    end.

-spec get(term(), Default :: term()) -> term().
get(Key, Default) ->
    case now_or_later(default, Key, Default) of
        'ram fetch' -> get_later(Key, Default, {get, [Key, Default]});
        Value -> Value
    end.

%% Most reads of another table have no other option.
-spec get(term(), Default :: term(), ram:read_options()) -> term().
get(Key, Default, #{table := Table} = Options)
  when map_size(Options) =:= 1, is_atom(Table), Table =/= '' ->
    case now_or_later(Table, Key, Default) of
        'ram fetch' -> ram_lookup:get(Key, Default, Options);
        Value -> Value
    end;
get(Key, Default, Options) ->
    case is_plain(Options) of
        true ->
            Call = {get, [Key, Default, Options]},
            {Member, _TimeoutMs, Reads} = Running = running(Options, Call),
            case ram_nif:get_now(Member, Key, Default, Reads) of
                'ram fetch' -> value(fetch_by(Running, Key, Call), Default);
                Value -> Value
            end;
        false ->
            ram_lookup:get(Key, Default, Options)
    end.

%% No option, or only who may answer: these are as fast as reads without options.
is_plain(#{reads := Reads} = Options) ->
    map_size(Options) =:= 1 andalso ram_config:reads(Reads) =:= ok;
is_plain(Options) ->
    Options =:= #{}.

now_or_later(Table, Key, Default) ->
    case member() of
        {Member, _TimeoutMs, Reads} when Table =:= default ->
            ram_nif:get_now(Member, Key, Default, Reads);
        {Member, _TimeoutMs, Reads} ->
            Name = ram_options:table(Table),
            case ram_arguments:is_own_table(Name) of
                false -> ram_nif:get_in_now(Member, Name, Key, Default, Reads);
                true -> 'ram fetch'
            end;
        undefined ->
            'ram fetch'
    end.

%% @doc As get/2, of a table of ram itself; `'ram fetch'' where ram_lookup has to be asked.
-spec own(Table :: atom(), term(), Default :: term()) -> term().
own(Table, Key, Default) ->
    case member() of
        {Member, _TimeoutMs, Reads} ->
            ram_nif:get_in_now(Member, ram_options:table(Table), Key, Default, Reads);
        undefined ->
            'ram fetch'
    end.

get_later(Key, Default, Call) ->
    value(fetch_by(ram_request:running(Call), Key, Call), Default).

value({ok, Value}, _Default) -> Value;
value(error, Default) -> Default.

-spec fetch(term()) -> {ok, term()} | error.
fetch(Key) ->
    case member() of
        {Member, _TimeoutMs, Reads} = Running ->
            case ram_nif:fetch_now(Member, Key, Reads) of
                {ok, _Value} = Found -> Found;
                error -> error;
                Other -> fetched(Other, Running, Key, {fetch, [Key]})
            end;
        undefined ->
            ram_error:failure(noproc, {fetch, [Key]})
    end.

-spec fetch(term(), ram:read_options()) -> {ok, term()} | error.
fetch(Key, Options) ->
    case is_plain(Options) of
        true ->
            Call = {fetch, [Key, Options]},
            fetch_by(running(Options, Call), Key, Call);
        false ->
            ram_lookup:fetch(Key, Options)
    end.

running(Options, Call) ->
    {Member, TimeoutMs, Configured} = ram_request:running(Call),
    {Member, TimeoutMs, maps:get(reads, Options, Configured)}.

fetch_by({Member, _TimeoutMs, Reads} = Running, Key, Call) ->
    fetched(ram_nif:fetch_now(Member, Key, Reads), Running, Key, Call).

%% Most reads by lease end in the call; the others wait for the key, or for a quorum.
fetched(Answer, {Member, TimeoutMs, Reads}, Key, Call) ->
    case Answer of
        {ok, _Value} -> Answer;
        error -> error;
        {encoded, Binary} -> {ok, ram_request:decoded(Binary, Key, Call)};
        ask -> wait(Member, Key, TimeoutMs, Reads, Call);
        {error, {bad_key, long}} -> fetch_long(Member, Key, TimeoutMs, Reads, Call);
        {error, _} -> ram_request:checked(Answer, Call)
    end.

fetch_long(Member, Key, TimeoutMs, Reads, Call) ->
    Fetch = fun(Encoded) -> ram_nif:fetch_now(Member, Encoded, Reads) end,
    case ram_request:checked(ram_request:by_long_key(Member, Key, Fetch), Call) of
        {encoded, Binary} -> {ok, ram_request:decoded(Binary, Key, Call)};
        ask -> wait(Member, Key, TimeoutMs, Reads, Call);
        Found -> Found
    end.

wait(Member, Key, TimeoutMs, Reads, Call) ->
    case ram_request:checked(read(Member, Key, TimeoutMs, Reads), Call) of
        {value, Value, _Revision} -> {ok, Value};
        {encoded, Binary, _Revision} -> {ok, ram_request:decoded(Binary, Key, Call)};
        none -> error
    end.

read(Member, Key, TimeoutMs, Reads) ->
    Read = fun(Ref, Encoded) -> ram_nif:read(Member, Ref, Encoded, Reads, TimeoutMs) end,
    ram_request:call(Member, Key, Read, TimeoutMs).

member() ->
    persistent_term:get(?KEY, undefined).
