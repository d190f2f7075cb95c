%% The ways to write a term in external term format: whatever `encode/2' writes, `binary_to_term/1'
%% reads as that term. What is chosen where follows from a seed and the part itself.
-module(ram_encodings).

-export([encode/2]).

-spec encode(term(), Seed :: integer()) -> binary().
encode(Term, Seed) ->
    iolist_to_binary([131, external(Term, Seed)]).

external(T, Seed) when is_integer(T) -> integer(T, choice(T, 4, Seed));
external(T, Seed) when is_atom(T) -> atom(T, choice(T, 4, Seed));
external(T, _) when is_float(T) -> own(T);
external(T, Seed) when is_bitstring(T) -> bits(T, choice(T, 2, Seed));
external([], Seed) -> one_of(choice([], 2, Seed), [<<106>>, <<108, 0:32, 106>>]);
external([_ | _] = T, Seed) -> list(T, choice(T, 3, Seed), Seed);
external(T, Seed) when is_tuple(T) ->
    Size = tuple_size(T),
    Head = case choice(T, 2, Seed) of
               0 when Size < 256 -> <<104, Size>>;
               _ -> <<105, Size:32>>
           end,
    [Head | parts(tuple_to_list(T), Seed)];
external(T, Seed) when is_map(T) ->
    Pairs = lists:sort([{choice(K, 1 bsl 20, Seed), parts([K, V], Seed)}
                        || {K, V} <- maps:to_list(T)]),
    [<<116, (map_size(T)):32>> | [Pair || {_, Pair} <- Pairs]];
external(T, Seed) ->
    case ram_records:parts(T) of
        none ->
            named(own(T), Seed);
        {Module, Name, IsExported, Names, Values} ->
            Parts = [Module, Name] ++ Names ++ Values,
            [<<67, (length(Names)):32, IsExported>> | parts(Parts, Seed)]
    end.

parts(Terms, Seed) -> [external(Term, Seed) || Term <- Terms].

%% As this virtual machine writes it.
own(T) ->
    <<131, External/binary>> = term_to_binary(T),
    External.

choice(T, Choices, Seed) -> erlang:phash2({Seed, T}, Choices).

one_of(Choice, Ways) -> lists:nth(Choice + 1, Ways).

integer(T, 0) -> own(T);
integer(T, 1) when T >= -(1 bsl 31), T < 1 bsl 31 -> <<98, T:32>>;
integer(T, Choice) ->
    Used = byte_size(binary:encode_unsigned(abs(T))),
    %% With zeros that nobody needs.
    Size = Used + Choice - 1,
    Sign = case T < 0 of true -> 1; false -> 0 end,
    Magnitude = <<Sign, (abs(T)):Size/unit:8-little>>,
    case Size < 256 andalso Choice =/= 3 of
        true -> [<<110, Size>>, Magnitude];
        false -> [<<111, Size:32>>, Magnitude]
    end.

atom(T, 0) -> own(T);
atom(T, 1) ->
    Text = atom_to_binary(T, utf8),
    [<<118, (byte_size(Text)):16>>, Text];
atom(T, Choice) ->
    case unicode:characters_to_binary(atom_to_list(T), unicode, latin1) of
        Text when is_binary(Text), Choice =:= 2 -> [<<100, (byte_size(Text)):16>>, Text];
        Text when is_binary(Text) -> [<<115, (byte_size(Text))>>, Text];
        _NotLatin1 -> own(T)
    end.

bits(<<_, _/binary>> = T, 1) -> [<<77, (byte_size(T)):32, 8>>, T];
bits(T, 1) when bit_size(T) rem 8 > 0 ->
    Last = bit_size(T) rem 8,
    %% Bits beyond the end, which do not count.
    Unused = -1 bsr Last,
    [<<77, (bit_size(T) div 8 + 1):32, Last>>, <<T/bitstring, Unused:(8 - Last)>>];
bits(T, _) -> own(T).

%% As a string where it is one, as a list, and as a list behind its first element.
list(T, 0, Seed) ->
    case is_string(T) andalso length(T) < 1 bsl 16 of
        true -> [<<107, (length(T)):16>>, T];
        false -> list(T, 1, Seed)
    end;
list(T, 1, Seed) ->
    {Elements, Tail} = split(T, []),
    [<<108, (length(Elements)):32>>, parts(Elements, Seed), external(Tail, Seed)];
list([Head | Tail], 2, Seed) ->
    [<<108, 1:32>>, external(Head, Seed), external(Tail, Seed)].

is_string([Byte | Tail]) when is_integer(Byte), Byte >= 0, Byte < 256 -> is_string(Tail);
is_string(Tail) -> Tail =:= [].

split([Head | Tail], Before) -> split(Tail, [Head | Before]);
split(Tail, Before) -> {lists:reverse(Before), Tail}.

%% Pids, ports, references and funs, with the atoms in them written in another way.
named(<<88, Rest/binary>> = Pid, Seed) ->
    {Node, <<Fixed:8/binary, Creation:32>>} = take_atom(Rest),
    case choice(Pid, 2, Seed) of
        0 when Creation < 4 -> [103, external(Node, Seed), Fixed, Creation];
        _ -> [88, external(Node, Seed), Fixed, <<Creation:32>>]
    end;
named(<<89, Rest/binary>>, Seed) ->
    {Node, <<Id:32, Creation:32>>} = take_atom(Rest),
    port(Node, Id, Creation, Seed);
named(<<120, Rest/binary>>, Seed) ->
    {Node, <<Id:64, Creation:32>>} = take_atom(Rest),
    port(Node, Id, Creation, Seed);
named(<<90, Words:16, Rest/binary>> = Reference, Seed) ->
    {Node, <<Creation:32, Ids/binary>>} = take_atom(Rest),
    case choice(Reference, 2, Seed) of
        0 when Creation < 4, Words < 4 ->
            [<<114, Words:16>>, external(Node, Seed), Creation, Ids];
        _ -> [<<90, Words:16>>, external(Node, Seed), <<Creation:32>>, Ids]
    end;
named(<<113, Rest/binary>>, Seed) ->
    {Module, Behind} = take_atom(Rest),
    {Function, Arity} = take_atom(Behind),
    [113, external(Module, Seed), external(Function, Seed), Arity];
named(LocalFun, _) -> LocalFun.

port(Node, Id, Creation, Seed) ->
    case choice(Id, 3, Seed) of
        0 when Id < 1 bsl 28, Creation < 4 -> [102, external(Node, Seed), <<Id:32, Creation>>];
        1 when Id < 1 bsl 28 -> [89, external(Node, Seed), <<Id:32, Creation:32>>];
        _ -> [120, external(Node, Seed), <<Id:64, Creation:32>>]
    end.

take_atom(Bytes) ->
    {Atom, Used} = binary_to_term(<<131, Bytes/binary>>, [used]),
    {Atom, binary:part(Bytes, Used - 1, byte_size(Bytes) - Used + 1)}.
